"""The trust boundary: from a file to a verified ``Seed``, and all that is done with one.

path --opening--> Seed --verify--> report            every digest holds
                    |---tensors--> decoded tensors   from the bytes that were digested
                    |---partial--> parts, merged     same seed id
                    |---repair---> repaired file     parity, bit-exact
path --unverified--> facts that nobody vouches for   (``inspect``)
path --signing----> the same seed, one signature more
"""
