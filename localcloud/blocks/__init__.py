"""The block service of the embedded cloud: the bytes of volumes and snapshots, and the EBS direct API over them.

Terms. A **block** is 512 KiB at a multiple of 512 KiB, as in the EBS direct API; its **digest** is its SHA-256. A
**layer** is a set of written blocks in sparse files; once frozen it never changes. A **map** says for each written
block in which layer it is. A **content** is what one volume or snapshot holds: a map, and for what can still be written
a layer on top of it, the **head**. A snapshot of a volume freezes the volume's head and shares its map: it costs
nothing but the map, and layers live as long as a map names them. Contents that came from one another are of one
**lineage**.

Reading order: `sparse`, `layers`, `maps`, `store` (bytes); `life` (time); `records` (what moto's objects mean here);
`direct`, `ec2` (the two APIs); `service` (the parts wired).
"""
