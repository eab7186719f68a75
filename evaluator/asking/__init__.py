"""Questions put to models, in the engine that ships, and how long that will take."""
