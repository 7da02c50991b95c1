"""One module per command or family of commands; imports of the library are local.

Local, because every command starts by importing all of these modules, and
``verify`` of a small seed should not pay for what ``assemble`` needs.
"""
