"""Python verbs that no inner room has, and the module that targets import (for_targets)."""
