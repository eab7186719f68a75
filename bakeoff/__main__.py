"""`python -m bakeoff` is `bakeoff`."""

from bakeoff.main import main

main()
