"""The scorer as a service: one thread takes events in, scores them, hands alerts on and saves what it remembers.

``document`` and ``config`` read the YAML file, ``models``, ``inputs`` and ``outputs`` build what it names, ``parts``
keeps one scorer per part of the input, ``loop`` turns, ``delivery`` hands alerts to every output that has them
``wanted``, at once or ``queued`` in a ``spool``, ``orders`` hears signals, ``reload`` takes over new bundles,
``metrics``, ``health`` and ``web`` tell what is going on, ``logs`` writes it down, ``process`` puts them together.
"""
