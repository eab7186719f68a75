"""A decision as a folder to host anywhere: one page that loads nothing from elsewhere, and its figures as data.

Read of the store by `study`, proven to hold no secret by `leaks`, drawn by `page`, put in its place by `folder`.
"""
