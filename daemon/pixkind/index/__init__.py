"""The index: nearest neighbours in memory, and which space answers queries.

What is kept in memory takes about 200 bytes a photo. Each content, and each further page of a file, has a *row*:

- `rabitq` has its code: one bit for each dimension of its vector;
- `metadata` has its id, whether it can be found, and the folder, date and camera of each of its photos;
- `segment` holds both, with the mean of all vectors.

Rows are only appended. They go to the *base*, which never changes once it is made, or to the *tail*, which is small. The bit of
a content that vanishes is cleared. A new segment is due when the library has doubled, a quarter of the rows is dead, or the
tail is full. `vector_index` has `builder` make it in a thread of its own while the old segment answers. It applies the
commits of that time, and swaps the two segments in one step.

The same thread writes the *snapshot* into the store's folder: the base once, and the rest also at every clean stop. Each
commit writes into the store's *journal* which contents it touched. A start reads the snapshot and looks up what was touched
after it, so the index is right after a crash, too. If the snapshot is missing, damaged or too old, every vector is read once.

A query: `vector_index` asks `rabitq` for candidates and `rescoring` scores them with `centering`, and with
`combining` if there are several images. `chance` says by a `sample` of the library which scores mean something. `spaces`
says which of two open spaces answers after a change of model, and `changes` what the last commits changed in it.
"""
