// Loads the modules that rest on @lodestar/params. That package reads its preset from the environment once, when it is
// first imported, so nothing may import these modules before the preset is chosen here.

/** preset: "minimal" or "mainnet". To be called once, before anything else of a chain is needed. */
export async function loadEthereum(preset) {
  // Lodestar takes every LODESTAR_* variable for an option of its own and stops at one it does not know. The children
  // of this process inherit what is set here.
  for (const name of Object.keys(process.env)) if (name.startsWith("LODESTAR_")) delete process.env[name];
  process.env.LODESTAR_PRESET = preset;
  const {SLOTS_PER_EPOCH} = await import("@lodestar/params");
  const {devnetConfig, configJson, configYaml} = await import("./config.mjs");
  const {buildGenesis} = await import("./genesis.mjs");
  const {signingRootOf} = await import("./signing_root.mjs");
  return {preset, SLOTS_PER_EPOCH, devnetConfig, configJson, configYaml, buildGenesis, signingRootOf};
}
