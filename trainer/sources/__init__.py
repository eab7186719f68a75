"""Where training rows come from: files, folders, the Hub; and what a row means."""
