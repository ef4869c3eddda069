"""The composition root: lock, build, start order, signals, stop order. The only module that knows all the others."""

import functools
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

import pixkin
from pixkin import locations
from pixkin.errors import PixkinError
from pixkin.protocol.replies import Report, Synced
from pixkind.config import Config, LimitsConfig
from pixkind.encoder import formats, process, space
from pixkind.encoder.messages import Settings
from pixkind.encoder.supervisor import Encoder
from pixkind.fs.mounts import MountWatch
from pixkind.fs.open_photo import OpenPhoto
from pixkind.fs.roots import WatchedRoots, resolve
from pixkind.index.spaces import OpenSpace, OpenSpaces
from pixkind.index.vector_index import VectorIndex
from pixkind.ingest.committer import drop_rotten_vectors
from pixkind.ingest.counts import PhotoCounts
from pixkind.ingest.loop import IngestLoop
from pixkind.ingest.progress import Progress
from pixkind.ingest.purge import Purge
from pixkind.ingest.throttle import Throttle
from pixkind.search.photo_search import PhotoSearch
from pixkind.server.control import ControlHandler
from pixkind.server.dispatch import Dispatcher
from pixkind.server.dupes import DupesHandler
from pixkind.server.have import HaveHandler
from pixkind.server.like import LikeHandler
from pixkind.server.query_images import QueryImages
from pixkind.server.spaces import SpaceHandler
from pixkind.server.status import StatusHandler
from pixkind.server.zmq_server import ZmqServer
from pixkind.storage import recovery, verification
from pixkind.storage.environment import StoreFull
from pixkind.storage.store import Store
from pixkind.system import sd_notify
from pixkind.system.services import Service, run
from pixkind.system.threads import NOTICE
from pixkind.watching.inotify import InotifyWatcher

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Daemon:
    """All parts of a daemon that is built and not yet started."""

    config: Config
    store: Store
    encoder: Encoder
    roots: WatchedRoots
    counts: PhotoCounts
    ingest: IngestLoop
    spaces: OpenSpaces
    verifier: verification.Verifier
    started_at: float

    @classmethod
    def build(cls, config: Config, *, is_whole: bool = True, waits: bool = False) -> "Daemon":
        """Open the store and put the parts together. The caller holds the locks.

        Args:
            config: the settings of this run.
            is_whole: its folders are all that are configured; False: they were named for this run only.
            waits: verify the store, if need be, before anything else; False: `serve` does it meanwhile.
        """
        started_at = time.monotonic()
        where = space.resolve(config.encoder.model, config.encoder.weights, locations.data_folder())
        folder = os.path.join(locations.state_folder(), "index.lmdb")
        store = recovery.open_store(folder, where.name, map_gb=config.limits.map_gb, waits=waits)
        make_encoder = functools.partial(_encoder, config)
        encoder = make_encoder(where)

        def make_index(seen: Store) -> VectorIndex:
            index = VectorIndex(seen, lambda folder: roots.root_of(folder) is not None, config.index.metric)
            alone = index.rotten

            def rotten(contents: Sequence[bytes]) -> None:
                if loop:
                    loop[0].post(functools.partial(drop_rotten_vectors, seen, loop[0], contents))
                else:  # codes are made from the start on
                    alone(contents)

            index.rotten = rotten
            return index

        loop: list[IngestLoop] = []  # it is made below

        def save_identity(root: str, identity: bytes) -> None:
            with suppress(StoreFull):
                store.roots.put_identity(root, identity)

        paths = resolve(config.index.folders)
        roots = WatchedRoots(
            paths,
            config.rules,
            load=store.roots.identity,
            save=save_identity,
            has_photos=store.has_photos,
            vanished=lambda root: counts.of(root).note,
        )
        spaces = OpenSpaces(
            OpenSpace(where, store, make_index(store), encoder),
            roots.paths,
            roots.is_read,
            locations.data_folder(),
            make_index,
            make_encoder,
        )
        spaces.open()
        # With both spaces open: it is written in both.
        store.retry_failed(f"{formats.decoders()}, {config.decode}, {where.name}")
        counts = PhotoCounts(paths, spaces.count)
        purge = Purge(store, roots, keep_days=config.index.keep_gone_days, is_whole=is_whole)
        ingest = IngestLoop(config, store, spaces, encoder, roots, counts, purge)
        loop.append(ingest)
        spaces.post = ingest.post
        verifier = verification.Verifier(store, lambda: os.kill(os.getpid(), signal.SIGHUP))
        return cls(config, store, encoder, roots, counts, ingest, spaces, verifier, started_at)

    def serve(self, check: Callable[[], Config]) -> bool:
        """Run until a signal ends it; return whether to begin anew with a new configuration.

        Args:
            check: reads the configuration again and raises if it cannot be used.
        """
        watch = InotifyWatcher(self.ingest, is_walked=self.config.rules.is_walked, avoids=self.roots.is_unwatchable)
        self.ingest.coverage.watch = watch
        mounts = MountWatch(self.ingest.recheck)
        dispatcher = self._dispatcher(watch)
        path = locations.socket_file()
        server = ZmqServer(path, dispatcher.answer, query_mb=self.config.limits.query_mb)
        sd_notify.ready()
        _log.info("pixkind %s listens on %s", pixkin.__version__, path)
        progress, decoders = Progress(self.ingest, self.counts, self.store, tells=True), formats.DecoderChange()

        def wait() -> float:
            if decoders.has_come(time.monotonic()):
                _log.info("the decoders are others: %s", formats.decoders())
                os.kill(os.getpid(), signal.SIGHUP)  # what they refused is tried again, by a worker that has them
            return progress.turn()

        def reload() -> bool:
            if self.verifier.is_suspect:
                return True
            try:
                check()
            except PixkinError as error:
                _log.error("the new configuration is not used: %s", error.what)
                return False
            return True

        services: list[Service] = [server, self.encoder, self.spaces, dispatcher.dupes_handler]
        services += [self.verifier, self.ingest, mounts, watch]
        self.ingest.throttle.take()
        again = run(services, wait=wait, reload=reload)
        if again:
            self.ingest.throttle.keep()
        return again

    def once(self) -> Synced | None:
        """Index every root, whatever the machine says, and return what became of it; None if a signal ended it before."""
        self.ingest.throttle = Throttle(LimitsConfig(battery_percent=0, pressure_percent=0))
        future: Future[Synced] = self.ingest.sync("", 0)
        future.add_done_callback(lambda _: os.kill(os.getpid(), NOTICE))
        progress = Progress(self.ingest, self.counts, self.store, tells=False)
        run(
            [self.encoder, self.spaces, self.ingest],
            wait=lambda: None if future.done() else progress.turn(),
            reload=lambda: False,
        )
        return None if future.cancelled() else future.result()

    def close(self) -> None:
        """Close the store, after all services have stopped."""
        self.spaces.stop()  # it reads the store from its beginning, before it is a service that is started
        if self.ingest.has_ended:  # else it may be in a transaction, on a drive that hangs: LMDB survives that
            recovery.close_store(self.store, self.verifier)

    def _dispatcher(self, watch: InotifyWatcher) -> Dispatcher:
        open_photos: set[OpenPhoto] = set()

        def like_handler(open_space: OpenSpace) -> LikeHandler:
            photo_search = PhotoSearch(open_space.store, open_space.index, self.roots)
            # Without a network of its own its photos can be asked about all the same: they have to be inspected only.
            encoder = open_space.encoder or self.encoder
            query_mb, why = self.config.limits.query_mb, open_space.why
            images = QueryImages(open_space.store, self.roots, encoder, query_mb, why, open_photos)
            return LikeHandler(photo_search, images)

        def switched(open_space: OpenSpace) -> None:
            dispatcher.like_handler = like_handler(open_space)
            dispatcher.have_handler = HaveHandler(
                dispatcher.like_handler.photo_search, dispatcher.like_handler.query_images
            )
            dispatcher.dupes_handler.move(dispatcher.like_handler.photo_search)
            self.counts.anew()

        first = like_handler(self.spaces.answering)
        status_handler = StatusHandler(
            self.roots, self.counts, self.ingest, self.spaces, about=lambda: self.about(watch.overflows)
        )
        dispatcher = Dispatcher(
            self.config,
            status_handler,
            ControlHandler(self.roots, self.ingest, status_handler),
            first,
            HaveHandler(first.photo_search, first.query_images),
            DupesHandler(first.photo_search, self.ingest.post),
            SpaceHandler(self.spaces, self.ingest.call, self.ingest.post),
        )
        self.ingest.is_asked_about = first.query_images.has_open_photo_of  # all spaces share `open_photos`
        self.spaces.switched = switched
        return dispatcher

    def about(self, overflows: int) -> Report:
        """Return what a report says of the process itself."""
        open_space = self.spaces.answering
        chance = open_space.index.chance()
        return Report(
            encoder=open_space.space.model,
            space=open_space.space.name,
            filling=self.spaces.progress(),
            chance=None if chance is None else chance.report(len(open_space.index)),
            counters={**self.ingest.counters(), "overflows": overflows},
            version=pixkin.__version__,
            pid=os.getpid(),
            uptime_s=time.monotonic() - self.started_at,
        )


def _encoder(config: Config, of: space.Space) -> Encoder:
    """Return an encoder for a space."""
    cores = config.limits.threads or len(os.sched_getaffinity(0))
    decoding, computing = process.threads(cores)
    settings = Settings(
        socket=-1,
        model=of.model,
        weights=of.weights,
        limit_mp=config.decode.limit_mp,
        decode_threads=decoding,
        torch_threads=computing,
        cores=cores,
    )
    return Encoder(settings, keep_warm_s=config.encoder.keep_warm_s)
