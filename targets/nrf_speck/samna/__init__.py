"""Client of samna: verdicts, word streams and boards."""
