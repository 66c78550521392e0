"""Real commands are killed, or refused by the disk, at each of their system calls on the store."""
