"""`bakeoff serve`: OpenAI's protocol over the models of a workspace, loaded and unloaded as they are asked for."""
