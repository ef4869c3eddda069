"""The way of a photo into the store: open, inspect, encode, commit; throttle and purge."""
