"""The repository: how restore points are kept in an S3 prefix. Format 1.

Terms, from the bytes up:

- **Block**: 512 KiB of a volume at a multiple of 512 KiB, as in the EBS direct API. Its **id** is the SHA-256 of its
  bytes, which that API sends with every read and demands with every write. A block of zeroes is a **hole**: nothing is
  stored for it.
- **Blob**: a block as it is stored: compressed (zstd) unless that gains nothing, then encrypted. **Slot**: the number
  of a blob in its pack. **Place**: pack id and slot.
- **Pack**: an object of about 16 MiB that holds the blobs of distinct blocks, and a footer that lists them.
- **Index segment**: the footers of some packs once more, for writers who look before they store.
- **Chain**: the restore points of one resource: account, Region, id.
- **Map segment**: the places of the blocks of 1 GiB of one volume. **Map object**: some segments one after the other.
- **Head**: one restore point: what it is of, and for each volume where its map segments are. Segments of unchanged
  ranges are those of an earlier point: every point is whole by itself, and any may be deleted before any other.
- **Data key**: 32 random bytes under which everything is encrypted, itself wrapped by KMS.
- **Sealed**: compressed msgpack, encrypted under a key of its own, bound to the key of the object in which it stands.

# Objects

Keys are relative to the prefix; ids are lower-case hex. A time id is 12 digits of milliseconds and 20 of chance.

| key | content | written |
|---|---|---|
| `repo.json` | JSON: `format`, `id`, `blockSize`, `segmentBlocks`, `features` | once, if absent |
| `keys/<key id>/<time id>` | JSON: one wrapping of one data key | once, if absent |
| `packs/<xx>/<pack id>` | blobs, footer, tail | once |
| `index/<account>/<region>/<resource>/<time id>` | sealed: packs, their slots, ids, lengths, flags | once, if absent |
| `map/<account>/<region>/<resource>/<time id>` | sealed map segments | once, if absent |
| `rp/<account>/<region>/<resource>/<point>` | sealed head | once, if absent, last |
| `lease/<account>/<region>/<resource>/<fence>` | sealed: owner, token, until | if absent, then by its owner |
| `idx/...`, `catalogue/...` | sealed: indexes of file systems (`agent.index`) | once, if absent |
| `gc/<time id>` | sealed: `packs` that are marked for deletion | by retention |
| `forward/<time id>` | sealed: where blobs of repacked packs are now | by retention, once, if absent |

Nothing but leases and marks is ever written a second time. Every put carries a CRC64-NVME that S3 verifies, as buckets
with Object Lock demand. An unknown `format` or feature in `repo.json` means: do not touch. Fields that a reader does
not know, in sealed documents, are ignored.

# Keys

`keys/` holds at least one data key; each may be wrapped more than once. A wrapping is `{"format", "kmsKey", "wrapped"}`
with the KMS encryption context `daywork:repository` = the repository's id, `daywork:key` = the key id (4 bytes). New
objects use the newest data key wrapped under the KMS key that the order names; old objects keep theirs, and say which.

- Pack: the pack id is the key id and 16 random bytes, never used again, also not for equal content. The pack's key is
  HKDF-SHA256(data key, salt = pack id, info = `daywork pack`). Cipher AES-256-GCM; the nonce is the slot as 12 bytes,
  big-endian, and twelve 0xff for the footer. So no nonce repeats under a key.
- Sealed: `DWS1`, key id, salt (16 random bytes), ciphertext with tag. Key: HKDF-SHA256(data key, salt, info =
  `daywork object`), nonce zero, associated data the object's key (for map segments with `#<volume>#<segment>`).

# Packs

    blob 0 | blob 1 | ... | footer | tail

A blob is a flag (0 raw, 1 zstd), ciphertext and tag; associated data are the flag and the block's id. The footer is
compressed msgpack, encrypted with the object's key as associated data: `slots`, `ids` (32 bytes each), `lengths` (u4
column, flag and tag included), `flags`. The tail is 32 bytes, big-endian: `DAYWORKP`, format (u2), 0 (u2), length of
the footer (u4), length of all blobs (u8), 0 (u8). At most 1024 slots.

A column is the differences from row to row (modulo its width, little-endian), split into planes of equal significance.

# Maps and heads

A map segment covers 2048 blocks: `rows`, `offsets` (u2 column: block index in the segment, ascending), `packs` (ids),
`ranks` (u2 column: which of `packs`), `slots` (u2 column), `checks` (first four bytes of each block's id: whoever reads
the blob compares). Blocks without a row are holes. A head's volume holds `maps` (names of map objects) and `segments`
(columns `numbers`, `maps`, `offsets`, `lengths`); a segment that is not listed is one hole.

# Writing

1. Take the chain's lease: the object after the highest number, created if absent. It counts for 60 s and is renewed.
2. Read the marks and the index, as far as the budget goes.
3. Packs; index segments for packs that are in the store; map objects.
4. Make sure that the lease is still the highest and ours; write the head if absent.

A writer that fails before 4 leaves objects that no head leads to: garbage, and never a restore point. Two writers of
one chain cannot both pass 1; one that was overtaken while it slept does not pass 4.

# Deleting

A point is deleted by deleting its head, under the chain's lease. Packs go in two phases. A mark names packs that no
head needs; from then on no writer uses them again. The mark is carried out when it is older than the grace time (24
hours, more than a writer lives), every writer that was at work when it was written has ended, and still no head needs
the packs. All of this reads maps and index, never a pack. Packs with few live slots are repacked outside of archive
storage classes and Object Lock: live blobs are stored anew in new packs, a forwarding object says where, and the old
pack is marked. Maps and heads never change. Who meets a pack that is gone asks the forwarding objects, as often as it
takes. A forwarding object is `rows` and, for `old` and `new` places, `packs` (ids), `ranks` (u4 column: which of them)
and `slots` (u2 column).

# Archives

An archive is a repository of this format (`agent.repository.archive`) with packs of up to 512 MiB and 16384 slots in an
archive storage class, each of one volume of one point (so says its id), and index objects of one pack each, called
`<point>.<pack id>`. Its heads are of kind `archived`. Nothing in it is shared, marked, forwarded or leased.

# What an attacker with write access to the bucket can do

Delete objects, or put old ones back in their own place: Object Lock is the answer to both. They can read nothing, and
whatever they change, move or swap does not open.

Reading order: `layout`, `objects`, `seal`, `keys` (objects and secrecy); `pack`, `index`, `maps`, `head` (formats);
`repository`; `lease`, `known`, `dedupe`, `writer`, `mapping` (writing); `reader`; `archive`.
"""
