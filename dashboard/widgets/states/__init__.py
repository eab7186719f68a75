"""What a page shows in place of its contents."""
