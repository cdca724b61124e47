"""What Theano 1.0.5 finds when it is imported on Python, NumPy and SciPy of today.

==============  ===============================================================
``finder``      loads Theano's modules, with an ``import`` of their own
``stand_ins``   modules that are gone from Python, NumPy and SciPy
``numpy_view``  NumPy with the names that NumPy has dropped
``mends``       changes to single modules of Theano, right after they are loaded
``c_code``      changes to the C code of Theano
==============  ===============================================================

Only Theano's modules see any of it: NumPy and ``sys.modules`` stay as they are.
"""
