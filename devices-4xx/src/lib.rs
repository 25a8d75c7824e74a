//! Device models of the IBM/AMCC 4xx family and the builder that makes a machine from a device tree.
