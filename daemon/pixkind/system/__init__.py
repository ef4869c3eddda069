"""Threads, signals, the log, systemd, battery and pressure. Nothing here knows photos.

**A thread that dies ends the process.** Each part of the daemon with a life of its own is a `services.Service`. Its
thread (`threads.ServiceThread`) keeps the error that ended it and wakes the main thread. `services.run` raises that
error there, stops the other services in reverse order, and the process exits. systemd starts it again. A process that
lives on without one of its parts would be worse.

**A thread that hangs starves the watchdog.** Each service with a loop counts the turns of the loop in `beat`. The main
thread sends systemd its sign of life (`sd_notify.alive`) only when every such number has changed. If one loop stands
still for longer than the unit's WatchdogSec, systemd kills the process and starts it again. A service without a loop
returns None.

`process` has what concerns the whole process, such as its lock and its signals. `log` writes for a terminal or the
journal. `battery` and `pressure` read from the kernel whether indexing should wait. `systemd_unit` installs the user
service.
"""
