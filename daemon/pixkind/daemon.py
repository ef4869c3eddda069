"""The composition root: it builds the parts, starts and stops them in order, and reloads.

The only module that knows all the others.
"""

import functools
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass

import pixkin
from pixkin import locations
from pixkin.errors import PixkinError
from pixkin.protocol.replies import Report, Sandbox, Synced
from pixkind.config import Config, LimitsConfig
from pixkind.encoder import formats, process
from pixkind.encoder.messages import Settings
from pixkind.encoder.space import Space, runtime_of
from pixkind.encoder.space import resolve as resolve_space
from pixkind.encoder.supervisor import Encoder
from pixkind.fs.mounts import MountWatch
from pixkind.fs.open_photo import OpenPhoto
from pixkind.fs.roots import WatchedRoots, resolve
from pixkind.index.spaces import OpenSpace, OpenSpaces
from pixkind.index.vector_index import VectorIndex
from pixkind.ingest.counts import FailedPhotos, PhotoCounts
from pixkind.ingest.first_runs import FirstRuns
from pixkind.ingest.inbox import Inbox, RottenVectors
from pixkind.ingest.loop import IngestLoop
from pixkind.ingest.matching import Matching
from pixkind.ingest.progress import Progress
from pixkind.ingest.purge import Purge, UsersFiles
from pixkind.ingest.task import PACE, Pace
from pixkind.ingest.throttle import Throttle
from pixkind.search.photo_search import PhotoSearch
from pixkind.server.control import ControlHandler
from pixkind.server.dispatch import Dispatcher
from pixkind.server.dupes import DupesHandler
from pixkind.server.forget import ForgetHandler
from pixkind.server.have import HaveHandler
from pixkind.server.ignore import IgnoreHandler
from pixkind.server.library import LibraryHandler
from pixkind.server.like import LikeHandler
from pixkind.server.polls import Polls
from pixkind.server.query_images import QueryImages
from pixkind.server.spaces import SpaceHandler
from pixkind.server.status import StatusHandler
from pixkind.server.thumbnails import ThumbnailHandler
from pixkind.server.watches import WatchHandler
from pixkind.server.why import WhyHandler
from pixkind.server.zmq_server import ZmqServer
from pixkind.storage import recovery, verification
from pixkind.storage.decisions import Decisions
from pixkind.storage.environment import StoreFull
from pixkind.storage.ignored import IgnoredFailures
from pixkind.storage.store import Store
from pixkind.storage.thumbnails import ThumbnailCache
from pixkind.system import sd_notify
from pixkind.system.services import Service, run
from pixkind.system.threads import NOTICE
from pixkind.watching.coverage import Coverage, Unwatched, Watching
from pixkind.watching.inotify import InotifyWatcher

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Substitutes:
    """The parts that a test replaces; None: the real one is built."""

    folder: str | None = None  # of the store, instead of the user's
    home: str | None = None  # the data folder, instead of the user's
    cache: str | None = None  # of the thumbnails, instead of the user's
    space: Space | None = None  # that is filled, instead of the configured one
    make_encoder: Callable[[Space], Encoder] | None = None  # instead of a worker with the network of the space
    watching: Watching | None = None  # instead of inotify
    throttle: Throttle | None = None  # instead of one that asks the kernel
    pace: Pace = PACE


@dataclass(slots=True)
class Daemon:
    """All parts of a daemon that is built and not yet started."""

    config: Config
    inbox: Inbox
    store: Store
    encoder: Encoder
    roots: WatchedRoots
    spaces: OpenSpaces
    counts: PhotoCounts
    failed: FailedPhotos
    purge: Purge
    matching: Matching
    watcher: InotifyWatcher
    ingest: IngestLoop
    thumbnails: ThumbnailCache
    queried: set[OpenPhoto]  # the photos that are open for queries
    verifier: verification.Verifier
    started_at: float

    @classmethod
    def build(
        cls,
        config: Config,
        *,
        is_whole: bool = True,
        is_once: bool = False,
        instead: Substitutes = Substitutes(),  # it is frozen
    ) -> "Daemon":
        """Open the store and put the parts together, each before those that need it. The caller holds the locks.

        Args:
            config: the settings of this run.
            is_whole: its folders are all that are configured; False: they were named for this run only.
            is_once: for `once`: the store is verified, if need be, before it is opened; no root is watched, and photos
                are indexed whatever the machine says. False: for `serve`, which verifies the store while it answers.
            instead: the parts that are not the real ones.
        """
        started_at = time.monotonic()
        home = instead.home or locations.data_folder()
        space = instead.space or resolve_space(config.encoder.model, config.encoder.weights, home)
        folder = instead.folder or locations.store_folder()
        store = recovery.open_store(folder, space.name, map_gb=config.limits.map_gb, waits=is_once)
        make_encoder = instead.make_encoder or functools.partial(_encoder, config)
        encoder = make_encoder(space)
        encoder.expect(store.dims)
        inbox = Inbox()
        paths = resolve(config.index.folders)
        roots = _watched(config, store, paths)
        make_index = functools.partial(_index, config, roots, inbox)
        filling = OpenSpace(space, store, make_index(store), encoder)
        spaces = OpenSpaces(filling, roots.paths, roots.is_read, home, make_index, make_encoder, inbox.post)
        _drop_rotten(inbox)
        spaces.open()
        # Now that both spaces are open, it is written in both.
        store.retry_failed(_decoder(config, space))
        failed = FailedPhotos(roots, IgnoredFailures(home))
        counts = PhotoCounts(paths, spaces.count, lambda: failed.count_ignored(spaces.answering.store))
        spaces.on_switch(lambda _: counts.reset())
        matching = Matching(home, spaces, inbox)
        keep_days, decisions = config.index.keep_gone_days, _decisions(home, store)
        users = UsersFiles(decisions, failed.ignored, matching)
        purge = Purge(store, roots, users, keep_days=keep_days, is_whole=is_whole)
        watcher = InotifyWatcher(inbox, is_walked=config.rules.is_walked, avoids=roots.is_avoided)
        watching = instead.watching or (Unwatched() if is_once else watcher)
        limits = LimitsConfig(battery_percent=0, pressure_percent=0) if is_once else config.limits
        cache = instead.cache or os.path.join(locations.cache_folder(), "thumbs")
        thumbnails = ThumbnailCache(cache, config.thumbnails.cache_mb, store.is_named)
        queried: set[OpenPhoto] = set()
        ingest = IngestLoop(
            config,
            store,
            spaces,
            encoder,
            roots,
            counts,
            purge,
            failed=failed,
            inbox=inbox,
            coverage=Coverage(paths, watching),
            throttle=instead.throttle or Throttle(limits, boost=encoder.boost),
            is_asked_about=functools.partial(_is_asked_about, roots, queried),
            pace=instead.pace,
            thumbnails=thumbnails,
        )
        verifier = verification.Verifier(store, lambda: os.kill(os.getpid(), signal.SIGHUP))
        parts = (config, inbox, store, encoder, roots, spaces, counts, failed, purge, matching)
        return cls(*parts, watcher, ingest, thumbnails, queried, verifier, started_at)

    def serve(self, check: Callable[[], Config]) -> bool:
        """Run until a signal comes; return whether to start again with a new configuration.

        Args:
            check: reads the configuration again, and raises if it cannot be used.
        """
        mounts = MountWatch(self.ingest.recheck)
        dispatcher = self.dispatcher()
        path = locations.socket_file()
        server = ZmqServer(path, dispatcher.answer, query_mb=self.config.limits.query_mb)
        sd_notify.ready()
        _log.info("pixkind %s listens on %s", pixkin.__version__, path)
        # A log that is kept must not name a photo.
        is_terminal = sys.stderr is not None and sys.stderr.isatty()
        progress = Progress(self.ingest, self.counts, self.spaces, self.roots, tells=is_terminal)
        if self.config.desktop.notify:
            progress.first_runs = FirstRuns(self.store, self.roots, self.counts, self.inbox, _notify)
        decoders = formats.DecoderChange()

        def wait() -> float:
            if decoders.has_come(time.monotonic()):
                _log.info("the installed decoders have changed: %s", formats.decoders())
                os.kill(os.getpid(), signal.SIGHUP)  # a worker that has them tries again what the old ones refused
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
        services += [self.verifier, self.ingest, mounts, self.watcher]
        self.ingest.throttle.take()
        again = run(services, wait=wait, reload=reload)
        if again:
            self.ingest.throttle.keep()
        return again

    def once(self) -> Synced | None:
        """Index every root, whatever the machine says, and return the result; None if a signal ended it before."""
        future: Future[Synced] = self.ingest.sync("", 0)
        future.add_done_callback(lambda _: os.kill(os.getpid(), NOTICE))
        progress = Progress(self.ingest, self.counts, self.spaces, self.roots, tells=False)
        run(
            [self.encoder, self.spaces, self.ingest],
            wait=lambda: None if future.done() else progress.turn(),
            reload=lambda: False,
        )
        return None if future.cancelled() else future.result()

    def close(self) -> None:
        """Close the store, after all services have stopped."""
        self.thumbnails.close()
        self.spaces.stop()  # it reads the store from the time it is built, even if it was never started
        if self.ingest.has_ended:  # else it may be in a transaction, on a drive that hangs; LMDB survives that
            recovery.close_store(self.store, self.verifier)

    def dispatcher(self) -> Dispatcher:
        """Return the dispatcher, which answers each request from the space that answers at that time. To be called once."""

        def like_handler(open_space: OpenSpace) -> LikeHandler:
            photo_search = PhotoSearch(open_space.store, open_space.index, self.roots)
            # Without a network of its own, queries can still name indexed photos: these only have to be inspected.
            encoder = open_space.encoder or self.encoder
            query_mb, why = self.config.limits.query_mb, open_space.why
            images = QueryImages(open_space.store, self.roots, encoder, query_mb, why, self.queried)
            return LikeHandler(photo_search, images)

        def switch(open_space: OpenSpace) -> None:
            like = dispatcher.like_handler = like_handler(open_space)
            dispatcher.have_handler = HaveHandler(like.photo_search, like.query_images, self.inbox, self.config.rules)
            dispatcher.dupes_handler.move(like.photo_search)
            dispatcher.library_handler = LibraryHandler(like.photo_search, status_handler)
            dispatcher.watch_handler = watch_handler(like)
            dispatcher.why_handler = why_handler(like, open_space)

        first = like_handler(self.spaces.answering)
        query_mb = max(self.config.limits.query_mb, self.config.decode.limit_mb)
        thumbnails = ThumbnailHandler(
            QueryImages(self.store, self.roots, self.encoder, query_mb, "", self.queried),
            self.thumbnails,
            lambda content, look: self.inbox.post(functools.partial(self.ingest.note_look, content, look)),
        )
        polls = Polls(self.inbox)

        def watch_handler(like: LikeHandler) -> WatchHandler:
            return WatchHandler(like, thumbnails, self.matching, self.spaces.changes, polls, self.inbox)

        def why_handler(like: LikeHandler, open_space: OpenSpace) -> WhyHandler:
            return WhyHandler(like.photo_search, status_handler, self.ingest, open_space.space.model)

        status_handler = StatusHandler(self.roots, self.counts, self.failed, self.ingest, self.spaces, self.about)
        dispatcher = Dispatcher(
            self.config,
            status_handler,
            ControlHandler(self.roots, self.ingest, status_handler),
            first,
            HaveHandler(first.photo_search, first.query_images, self.inbox, self.config.rules),
            DupesHandler(first.photo_search, self.inbox, Decisions(self.spaces.data_home), open_photos=self.queried),
            SpaceHandler(self.spaces, self.inbox),
            ForgetHandler(self.roots, self.purge, self.ingest.wipe, self.inbox),
            IgnoreHandler(self.roots, self.spaces, self.failed, self.counts, self.inbox),
            LibraryHandler(first.photo_search, status_handler),
            thumbnails,
            watch_handler(first),
            why_handler(first, self.spaces.answering),
        )
        self.spaces.on_switch(switch)
        self.spaces.on_switch(lambda _: polls.tell())
        self.spaces.on_commit(lambda _: polls.tell())
        self.matching.on_news(polls.tell)
        return dispatcher

    def about(self) -> Report:
        """Return the part of a report that is about the process itself."""
        open_space = self.spaces.answering
        chance = open_space.index.chance()
        confined = self.encoder.confined
        return Report(
            encoder=open_space.space.model,
            space=open_space.space.name,
            filling=self.spaces.progress(),
            chance=None if chance is None else chance.report(),
            counters={**self.ingest.counters(), "overflows": self.watcher.overflows},
            version=pixkin.__version__,
            pid=os.getpid(),
            uptime_s=time.monotonic() - self.started_at,
            sandbox=None if confined is None else Sandbox(confined.enforced, confined.missing),
        )


def _notify(summary: str, body: str) -> None:
    """Show a notification, and do not wait: the desktop may hang."""
    from pixkin import notification  # needed once in the life of a library

    threading.Thread(target=notification.show, args=(summary, body), name="notify", daemon=True).start()


def _decisions(home: str, store: Store) -> Decisions:
    """Return the decisions of the user, with those in an old store; before a scan, which may give pictures other content ids."""
    decisions = Decisions(home)
    decisions.take_over(store)
    return decisions


def _index(config: Config, roots: WatchedRoots, inbox: Inbox, store: Store) -> VectorIndex:
    """Return the index of a space. It finds only photos in the watched roots."""
    return VectorIndex(
        store,
        lambda folder: roots.root_of(folder) is not None,
        config.index.metric,
        rotten=functools.partial(inbox.rotten, store),
    )


def _decoder(config: Config, space: Space) -> str:
    """Return what decides at which photos decoding fails. The store keeps it, so its form must not change."""
    limits = f"Decode(limit_mp={config.decode.limit_mp}, limit_mb={config.decode.limit_mb})"
    return f"{formats.decoders()}, {limits}, {space.name}"


def _drop_rotten(inbox: Inbox) -> None:
    """Drop the vectors that the index found damaged while it was built: a space must not count as complete with them."""
    for message in inbox.take():
        if isinstance(message, RottenVectors):
            text = "%d stored vectors in the space %s are damaged, or no vectors: their photos are encoded again"
            _log.error(text, len(message.contents), message.store.space)
            message.store.drop_vectors(message.contents)


def _watched(config: Config, store: Store, paths: Sequence[str]) -> WatchedRoots:
    return WatchedRoots(
        paths,
        config.rules,
        load=store.roots.identity,
        save=functools.partial(_save_identity, store),
        has_photos=store.has_photos,
        exclude=config.index.exclude,
    )


def _save_identity(store: Store, root: str, identity: bytes) -> None:
    """Store the identity of a drive; on a full disk the next check of the root tries again."""
    with suppress(StoreFull):
        store.roots.put_identity(root, identity)


def _is_asked_about(roots: WatchedRoots, photos: set[OpenPhoto], root: str) -> bool:
    """Return whether a query has a photo open that keeps the drive of a root from being unmounted."""
    return any(not photo.is_copy and roots.root_of(photo.path) == root for photo in list(photos))


def _encoder(config: Config, space: Space) -> Encoder:
    """Return an encoder for a space."""
    cores = config.limits.threads or len(os.sched_getaffinity(0))
    decoding, computing = process.threads(cores)
    settings = Settings(
        socket=-1,
        model=space.model,
        weights=space.weights,
        limit_mp=config.decode.limit_mp,
        decode_threads=decoding,
        network_threads=computing,
        cores=cores,
        runtime=runtime_of(space, config.encoder.runtime),
        sha256=space.sha256,
    )
    return Encoder(settings, keep_warm_s=config.encoder.keep_warm_s)
