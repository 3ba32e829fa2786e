"""The simulator of `stepcoder bench fleet --simulate`: a fleet that this machine cannot hold."""
