"""The encoder process: jobs in, outcomes out. The only place that reads photo bytes and imports Pillow or torch."""
