"""Joins at fetch: the features of several GroupBys and external sources in one answer."""
