/** Limits of access control; one over is `too_large`, logins beyond theirs `overloaded`. */
export const accessLimits = {
  /** Of a user's or a role's name, in UTF-8. */
  nameBytesMax: 1_024,
  passwordBytesMax: 4_096,
  usersMax: 10_000,
  rolesMax: 10_000,
  rolesPerUserMax: 100,
  grantsPerRoleMax: 1_000,
  /** Tokens that users were given. */
  tokensKeptMax: 10_000,
  noteBytesMax: 256,
  /** Passwords that are hashed at the same time: each takes a thread that files are flushed by as well. */
  loginsAtOnceMax: 2,
  /** And those that wait for it. */
  loginsWaitingMax: 1_024,
  /** Beyond these the token that was not used for longest ends. */
  tokensMax: 65_536,
  tokenIdleMsMax: 300_000,
} as const;
