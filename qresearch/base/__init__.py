"""Foundations: parts that are pytrees, tables of named rows, checks of arguments, sharded arrays."""
