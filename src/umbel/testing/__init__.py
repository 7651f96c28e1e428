"""What tests of applications and engines may use."""
