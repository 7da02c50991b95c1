"""The command line: options in, one library call, text or JSON out.

    argv --typer--> command --seedpack--> result --output--> stdout (data), stderr (all else)
                       |
                       +--SeedError--> app.main: message, hint, exit status

The library does the work and never prints; nothing here decides on trust.
"""
