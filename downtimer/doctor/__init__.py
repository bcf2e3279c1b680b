"""``downtimer doctor``: is all ready for a run? Runs in the command; measures nothing, and changes nothing.

One module for each kind of check: what is found out, then what is to be said of it. What a run uses is used
here, too: the same reading of the configuration, sign-in, lists, sockets, and client of InfluxDB.
"""
