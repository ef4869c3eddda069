"""Where something may have changed: inotify, pending paths, scans, rescans."""
