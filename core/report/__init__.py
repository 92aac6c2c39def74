"""What leaves the house: tables, one-file reports, bridges to other tools."""
