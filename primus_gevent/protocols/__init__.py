"""Wire formats without I/O: bytes in, events out, and no socket, clock or greenlet in sight."""
