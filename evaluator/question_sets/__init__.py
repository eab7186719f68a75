"""Tests of one's own: questions with right answers out of files as people and tools write them, asked and checked."""
