import tseslint from "typescript-eslint";

/** Lints the TypeScript of the project with typed rules. Layout is prettier's; unused names and imports are the compiler's. */
export default tseslint.config(
  { ignores: ["dist", "site", "coverage", ".tasker", "bench/node_modules", "**/.*"] },
  {
    files: ["**/*.{ts,mts}"],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: { project: ["./tsconfig.json"], tsconfigRootDir: import.meta.dirname },
    },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: ["error", "always", { null: "ignore" }],
      "no-var": "error",
      "prefer-const": "error",
      "no-console": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-import-type-side-effects": "error",
      "@typescript-eslint/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
      "@typescript-eslint/no-base-to-string": "off", // String(x) is how a value of unknown shape is shown
      "@typescript-eslint/unbound-method": "off", // ports are objects of functions, none of which uses `this`
      "@typescript-eslint/no-unused-vars": "off", // the compiler says it (noUnusedLocals)
      "@typescript-eslint/require-await": "off", // ports are async, also where a store answers at once
      "@typescript-eslint/only-throw-error": "off", // an abort's reason is passed on as it is
      "@typescript-eslint/prefer-promise-reject-errors": "off",
      "@typescript-eslint/restrict-template-expressions": [
        "error",
        { allowNumber: true, allowBoolean: true, allowNullish: true },
      ],
    },
  },
  {
    files: ["test/**", "bench/**", "examples/**"],
    rules: {
      "no-console": "off",
      "@typescript-eslint/no-unsafe-assignment": "off", // asymmetric matchers are `any`
    },
  },
);
