"""The verbs that hand models on: as files, to the Hub, over HTTP, in the browser."""
