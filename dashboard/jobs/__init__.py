"""Long work started from a page, in processes of its own: `jobs` keeps them, `batch` is one of them."""
