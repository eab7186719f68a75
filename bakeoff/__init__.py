"""bakeoff: the command line, and the way of an experiment through the rooms. It has no door: nobody imports it."""
