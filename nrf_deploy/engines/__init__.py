"""Engines that run networks and programs."""
