"""From vectors to photos: ranking, folding and near-duplicates. Knows no worker and no socket, and decodes no image.

**The score.** Two pictures are compared by the cosine of their vectors, after the mean of the library is taken out
(index/vector_index.py has the formula). 1 means the same picture, about 0 means unrelated.

**Candidates.** `photo_search` takes contents from the index, best first, until the request has enough matches. It drops
contents that the filters of the request exclude, that are scored too low, or that have no photo in a watched folder.

**Folding.** Several files may show one shot: a raw file and its JPEG, a photo and its export. `folding` joins them to
one match by their vectors and headers. Files that differ only in the suffix of their name need nothing but one second.
It also joins the shots of one burst. Frames beyond the pictures that were ranked are not counted.

**Pages.** Each of the first pages of a TIFF is ranked by a vector of its own. They are one match, which has the best page's
score. Near-duplicates are whole files: no page is compared for them, nor for what `pixkin have` says is there.

**Near-duplicates.** `duplicates` searches a folder for groups in which every two photos are alike:

1. It compares contents in batches of 256. Each batch is compared with all contents that were in no batch before.
2. `simhash` names the pairs that may score enough, from a hash of 64 bytes for each content. Only the vectors of these
   pairs are read and scored.
3. The contents that a batch found are in the next batch, ahead of the others. So a cluster of contents that are linked
   by pairs is soon known as a whole.
4. `clustering` splits a cluster into groups by complete link. They are sent to the client, and forgotten. A group that
   was sent never grows.

5. The worker says which photos have one content, and a photo may have made it lie. So `proof` compares the bytes of all
   photos that a group calls exact copies. Nothing else is read.

100,000 photos take 35 s of one core (benchmarks/bench_dupes.py). Memory is 80 bytes for each content, and 12 bytes for
each pair of a cluster that is not complete yet, at most 96 MiB. Grouping a very large cluster takes twice as much on top.

The search runs in a thread of its own with the priority of indexing (server/dupes.py), one search at a time. The client
asks again each second. While no client asks, the search pauses.
"""
