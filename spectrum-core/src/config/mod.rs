//! The one configuration file of an instance.
