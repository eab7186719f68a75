"""Readers of what trainers and trackers write: runs with their curves. Each makes a parcel and writes nothing."""
