"""Makes tasks of data sets that others have published.

Sections of a study that say where a data set is and how it is read come in; tasks go out.
"""
