"""The encoder process as the daemon sees it: supervisor, messages, formats, spaces."""
