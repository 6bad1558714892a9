"""samna: verdicts, word streams and boards."""
