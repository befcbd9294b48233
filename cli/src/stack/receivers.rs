//! Stands in for PagerDuty, Opsgenie and a heartbeat monitor on loopback: takes what Alertmanager sends and says what is wrong with it.
