// The places of the navigation: address, title, and the letter that follows `g`.

export const PLACES = [
  ["/", "Overview", "o"],
  ["/snapshots", "Snapshots", "s"],
  ["/jobs", "Jobs", "j"],
  ["/schedules", "Schedules", "c"],
  ["/repository", "Repository", "r"],
  ["/machines", "Machines", "m"],
  ["/certificates", "Certificates", "p"],
  ["/notifications", "Notifications", "n"],
  ["/log", "Event log", "l"],
];
