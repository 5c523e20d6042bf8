"""What bench/run is made of: who is measured, with which workloads, and how the figures are shown."""
