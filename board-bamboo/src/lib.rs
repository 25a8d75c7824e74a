//! The AMCC/IBM 440EP Bamboo board as a plugin.
