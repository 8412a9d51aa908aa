"""Files out of images: file systems read without mounting them, over anything that can read bytes of a volume.

Terms:

- **Source**: bytes by offset and length: a volume of a restore point, of a snapshot, or a part of one.
- **Area**: a named stretch in which a file system may be: a whole volume, a partition, a logical volume. Its name says
  where it is: `vol-0a`, `vol-0a/2`, `group/root`.
- **File system**: what an area holds, behind one interface for all kinds. Names and targets of links are bytes.
- **Entry**: a file, directory, link or device of a file system with owner, mode and times.

Nothing is replayed: a file system whose journal holds changes is read as it stands on the disk, and said to be so in
its `notes`. What is damaged is named, and everything else still comes out.

Reading order: `errors`, `source`, `blocks` (bytes); `areas`, `partitions`, `logical` (where); `system`, `posix`, `ext`,
`xfs`, `ntfs`, `fat`, `opening` (what); `walking`, `searching` (finding); `extracting`, `archive`, `tree` (taking out).
"""
