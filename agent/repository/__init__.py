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
- **Garbage**: objects that no head leads to. **Mark**: a list of garbage that is going to be deleted.
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
| `owner.json` | JSON: `install`, the one that writes here | once, if absent |
| `damage/<account>/<region>/<resource>/<point>` | sealed: what is wrong with a point | by checks and backups |
| `gc/<time id>` | sealed: `packs`, `objects` that are marked for deletion, `at`, `writers` | by retention |
| `forward/<time id>` | sealed: where blobs are now that have moved | by retention and backups, once, if absent |

Nothing but leases, marks and damage is ever written a second time. Every put carries a CRC64-NVME that S3 verifies, as
buckets with Object Lock demand. An unknown `format` or feature in `repo.json` means: do not touch. Fields that a reader
does not know, in sealed documents, are ignored.

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

A point is deleted by deleting its head, under the chain's lease. Everything else goes in two phases. A mark names
packs, maps and forwarding objects that no head needs; from then on no writer uses these packs again. It is written
twice: then `writers` says who was at work (chain, fencing number, owner). A mark is carried out when it is older than
the grace time (24 hours), each of these writers has given its lease back, was overtaken or has been silent for a day,
and for what still no head needs. The order is: index rows, packs, maps and forwarding objects, the mark. Packs with
less than half of their bytes live are repacked outside of archives and Object Lock: live blobs are stored anew in new
packs, a forwarding object says where, and the old pack is marked. All of this reads maps and index, and of packs only
what is repacked. One collector at a time, by the lease of the chain `repository/collector/collector`, whose `note` says
when the last one ended. While a head or map cannot be read nothing is collected.

# Damage

A health check writes a record of the blocks of a point that cannot be read back (volume, index, pack, slot, id) and of
bad objects. Writers do not use such places. A backup of a chain with a record that no full reading has followed yet
reads everything; whoever stores or finds a block whose id is in a record writes where it is into a forwarding object.
Who meets a pack that is gone, or a blob that does not open, asks the forwarding objects, as often as it takes. A
forwarding object is `rows` and, for `old` and `new` places, `packs` (ids), `ranks` (u4 column: which of them) and
`slots` (u2 column); its name comes after all that are there.

# What an attacker with write access to the bucket can do

Delete objects, or put old ones back in their own place: Object Lock is the answer to both. They can read nothing, and
whatever they change, move or swap does not open.

Reading order: `layout`, `objects`, `seal`, `keys` (objects and secrecy); `pack`, `index`, `maps`, `head` (formats);
`repository`; `lease`, `known`, `dedupe`, `writer`, `mapping` (writing); `reader`, `forward`; `expire`, `marks`, `live`,
`scan`, `collect`, `repack` (deleting); `verify`, `surroundings`, `damage`, `mending`, `owner`; `archive`.
"""
