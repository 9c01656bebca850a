"""The page of the service: who is strange just now, and why, for people in a browser.

``board`` keeps what is shown, fed by the scoring thread: ``alerts`` the last state of each alert, ``hour`` what every
user did in the last hour, ``watch`` and ``rings`` the steps of a bounded number of users, ``band`` what was to be
expected of them. ``answers`` makes JSON of it, ``vitals`` of the figures, ``verdicts`` takes what people say;
``guard`` decides who may ask, ``routes`` serves it all with the files beside this one. The page loads nothing from
elsewhere, needs no build and is written by its own scripts, which put text into the document as text.
"""
