"""The store: everything that pixkind knows of photos, in one LMDB environment. Only this package knows LMDB.

Where it lies: the state folder is `$XDG_STATE_HOME/pixkin` (0700), and the store is `index.lmdb` in it (0600). The store is
one sparse map of `limits.map_gb`, which is never resized.

The store is derived data. What users have said cannot be derived, so it stands in files outside the store: `decisions` about
pairs of photos, and standing `questions` with what was found for them, and which photos were `seen` before. `lines` writes them.
Sixteen databases belong to the whole
store, and two more to each space. A module for each group of them has their keys and values as a table in its docstring:

| databases | module | what |
| --- | --- | --- |
| `photos`, `failed`, `stamps` | `photos` | a record for each photo, live or gone (missing, and kept for `keep_gone_days`), and why it failed |
| `tree` | `folder_tree` | the live photos as a tree of folders: a scan finds what is gone one folder at a time |
| `contents`, `holders`, `ghosts`, `orphans`, `strikes` | `contents` | the photos and facts of each picture |
| `pages` | `pages` | the further pages of a file, each of which can be found |
| `vectors/SPACE` | `vectors` | the vectors of a space |
| `tally/SPACE` | `folder_stats` | for each folder: how many photos, and a fingerprint of them |
| `spaces` | `spaces` | the network and the weights of each space |
| `roots`, `clocks` | `roots` | the drive and the clock of each root |
| `journal` | `journal` | which contents the last commits touched |
| `apart` | `apart` | only in stores of an older pixkind: pairs of pictures that are no duplicates |
| `meta` | several, `traces` among them | schema version, identifier of the store, decoder, generations, the space that answers, the roots whose first run goes on |

`keys` makes the keys of photos, and `record` packs and unpacks all values. `environment` opens the environment.
`store` has the transactions that span several tables: a commit (`write_batch`) changes all of them or none.

What a file says besides its picture, such as its date, are the *details* in its record: two copies of one picture may differ
in them. Stores of schema 3 have none. Their photos count as not settled, so each is read once in the background. Until then
the date and the camera in the facts of its content count.

Folder statistics are kept by the very commits that change them. So nothing is counted at a start, and a scan learns with
one look-up that nothing in a folder has changed.

What is deleted leaves traces in the file. `traces` notes that, and `environment` can write the file again without them.

Thumbnails are files in the cache, and `thumbnails` keeps them.

`recovery` opens the store, and `verification` verifies it after an unclean end, at about 100 MB a second.
A damaged store is moved aside, with the time in its name, and an empty one is created.
"""
